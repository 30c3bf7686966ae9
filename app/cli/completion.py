"""``relevo completion``: what a shell has to read to complete our commands and options."""

import click
from click.shell_completion import get_completion_class

from app.cli.asking import fail

_HOW = {
    "bash": 'eval "$(relevo completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(relevo completion zsh)" in ~/.zshrc',
    "fish": "relevo completion fish > ~/.config/fish/completions/relevo.fish",
}


@click.command(
    epilog="To have it always: " + "; ".join(_HOW.values()),
)
@click.argument("shell", type=click.Choice(sorted(_HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        fail(f"this version of click knows no completion for {shell}")
    try:
        script = kind(ctx.find_root().command, {}, "relevo", "_RELEVO_COMPLETE").source()
    except RuntimeError as exc:  # a bash that is too old, or none
        fail(str(exc))
    click.echo(script)

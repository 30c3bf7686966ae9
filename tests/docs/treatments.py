"""What is not run as it stands, counted: each with the reason, or the test that runs it."""

#: Commands that no test runs, word for word. Those of make are asked what they would do.
EXCLUDED = {
    "make test": "it is what runs this",
    "make": "the same, and make check",
    "make down": "takes down what may be somebody's",
    "make setup": "made the environment that this runs in",
    "docker save": "hundreds of megabytes",
    "docker load": "the same",
    "kill -HUP PID": "PID is the reader's",
    "python -m tests.stack.verdict_accuracy": "an hour; tests/stack/test_profiles.py is a round",
}
MOST_EXCLUDED = 8

#: Commands and pages that are done elsewhere: where, and what is seen of it there.
ELSEWHERE = {
    "make demo": ("tests/stack/test_demo.py", '"demo.py"'),
    # The demo brings the stack up by the same script, which makes the images first.
    "make up": ("deploy/demo/stage.py", '"up.sh"'),
    "RELEVO_AIRGAP=1 make up": ("deploy/demo/stage.py", '"up.sh"'),
    "RELEVO_NO_BUILD=1 deploy/up.sh": ("deploy/demo/stage.py", '"up.sh"'),
    "deploy/airgap/images.sh": ("deploy/up.sh", "images.sh"),
    "docs/connect.md": ("tests/stack/test_connect.py", "docs/connect.md"),
}

#: Commands of relevo that do not end by themselves, or ask a chain that is not here.
NOT_BY_ITSELF = {
    "serve": ("tests/stack/lab.py", '"serve"'),
    "gate": ("tests/adapters/gate/test_crash.py", "-m app gate"),
    "collect": ("tests/stack/test_connect.py", '"collect"'),
    "connect": ("tests/stack/test_connect.py", '"connect"'),
    "doctor": ("tests/stack/test_mistakes.py", '"doctor"'),
    "--watch": ("tests/test_cli_follow.py", '"--watch"'),
    "--follow": ("tests/test_cli_follow.py", '"--follow"'),
}


def left_out(command: str) -> str | None:
    """Find the entry of a command, its comment and what follows a program's name left out."""
    plain = command.split("#")[0].strip()
    for entry in (*EXCLUDED, *ELSEWHERE):
        is_begun = entry.startswith(("docker ", "python ")) and plain.startswith(entry)
        if plain == entry or is_begun:
            return entry
    return None

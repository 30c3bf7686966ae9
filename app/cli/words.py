"""Reasons in plain words, as the pages say them too."""

from app.policies.plain_words import REASONS as REASONS
from app.policies.plain_words import STATES as STATES
from app.policies.plain_words import fix as fix
from app.policies.plain_words import words as words

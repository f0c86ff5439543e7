"""Passwords that are guessed first are refused, and no others."""

import pytest
from gateway.password_rules import common_words, problem_of


@pytest.mark.parametrize(
    "password",
    [
        "password", "Password1", "PASSWORD123!", "123password", "p4ssw0rd", "P@$$w0rd1",
        "qwertyuiop", "iloveyou2", "letmein!!", "Welcome2024", "inventory1", "changeme",
        "12345678", "123456789", "1234567890", "87654321", "11223344", "12121212", "abcabcabc",
        "aaaaaaaa", "AaAaAaAa", "        ", "\u00a0\u2000\u3000\u2800\u00a0\u2000\u3000\u2800",
        "\u0440\u0440\u0440\u0440\u0440\u0440\u0440\u0440",
        "Gayathri", "gayathri1", "GAYATHRI2026!", "1gayathri",
    ],
)  # fmt: skip
def test_what_is_guessed_first_is_refused(password: str) -> None:
    """With a sentence that says what is wrong with it, and does not repeat it."""
    problem = problem_of(password, "Gayathri")
    assert problem is not None
    assert password.strip() == "" or password not in problem


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple", "a password of mine", "gayathri and her cat", "tr0ub4dor&3",
        "19283746", "9f8a7b6c", "\u043f\u0430\u0440\u043e\u043b\u044c-\u043c\u043e\u0439",
        "r\u00f6ssli im wind", "42 is the answer",
    ],
)  # fmt: skip
def test_other_passwords_are_taken(password: str) -> None:
    """Nothing is asked of the kinds of their characters."""
    assert problem_of(password, "Gayathri") is None


def test_a_name_without_letters_refuses_no_password_but_itself() -> None:
    """Nor does no name at all, where an admin sets another one's password."""
    assert problem_of("\u2603\u2603\u2604\u26c4\u2603\u2604\u2604\u26c4", "007") is None
    assert problem_of("40730155", "007") is None
    assert problem_of("40730155", "40730155") is not None
    assert problem_of("40730155", "") is None


def test_the_list_is_of_folded_words() -> None:
    """A word in another form would never be found."""
    assert len(common_words()) > 80
    for word in common_words():
        assert word == word.strip().lower()
        assert problem_of(f"{word}12345678"[:40], "") is not None

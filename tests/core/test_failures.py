"""How many failures are too many, and what they are called."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.failures import FIRST_CALLS, LEAST_FINISHED, SAME_AMONG_THEM, SameFailure, StopAfter, kind_of


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, None),
        (1, StopAfter(most=1)),
        (10, StopAfter(most=10)),
        ("10", StopAfter(most=10)),
        (" 3 ", StopAfter(most=3)),
        ("5%", StopAfter(share=0.05)),
        ("2.5%", StopAfter(share=0.025)),
        ("100%", StopAfter(share=1.0)),
        ("0.1%", StopAfter(share=0.001)),
    ],
)
def test_what_can_be_meant_is_read(given_: object, expected: StopAfter | None) -> None:
    assert StopAfter.parse(given_) == expected


@pytest.mark.parametrize("bad", [0, -1, "", "0", "0%", "-5%", "101%", "5 %", "5.%", "%", "ten", "1e2", "5%%", "nan%"])
def test_a_value_that_cannot_be_meant_is_refused_by_name_and_shown(bad: object) -> None:
    with pytest.raises(ValueError, match="stop_after must be at least 1, or a share") as caught:
        StopAfter.parse(bad)
    said, _, line = str(caught.value).partition("\n  try: stop_after=")
    assert said.endswith(f"got {bad!r}")
    assert StopAfter.parse(line.strip('"')) is not None


@pytest.mark.parametrize("bad", [True, False, 2.5, 0.05, b"5%", [1], object()])
def test_a_type_that_cannot_be_meant_is_refused_by_name_and_shown(bad: object) -> None:
    with pytest.raises(TypeError, match="stop_after must be a number such as 10 or a share") as caught:
        StopAfter.parse(bad)
    said, _, line = str(caught.value).partition("\n  try: stop_after=")
    assert said.endswith(f"got {bad!r}")
    assert StopAfter.parse(line.strip('"')) is not None


@pytest.mark.parametrize(
    ("policy", "failed", "finished", "total", "reached"),
    [
        ("3", 2, 1000, None, False),
        ("3", 3, 3, None, True),
        ("3", 3, 3, 1000, True),
        ("5%", 4, 50, 100, False),
        ("5%", 5, 5, 100, True),  # of the total, whatever has finished
        ("5%", 1, 1, 10, True),  # half a failure is one
        ("5%", 0, 10, 10, False),
        ("5%", 0, 0, 0, False),
        ("5%", 99, 99, None, False),  # not before LEAST_FINISHED have
        ("5%", 5, LEAST_FINISHED, None, True),
        ("5%", 4, LEAST_FINISHED, None, False),
        ("5%", 49, 1000, None, False),
        ("5%", 50, 1000, None, True),
        ("100%", 100, 100, None, False),  # it never stops: what is left to be called then?
        ("100%", 100, 100, 100, False),
        ("100%", 100, 100, 50, False),  # there are more than was said
        ("99%", 99, 99, 100, True),
    ],
)
def test_when_to_give_up(policy: str, failed: int, finished: int, total: int | None, reached: bool) -> None:
    parsed = StopAfter.parse(policy)
    assert parsed is not None
    assert parsed.reached(failed, finished, total) is reached


@given(
    st.one_of(st.integers(1, 999).map(str), st.decimals("0.1", "100", places=1).map(lambda d: f"{d.normalize():f}%"))
)
def test_a_policy_prints_as_what_was_given(text: str) -> None:
    assert str(StopAfter.parse(text)) == text


class Hostile(Exception):
    @property
    def response(self) -> object:
        raise AttributeError("no")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("x"), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Hostile(), "Hostile"),
    ],
)
def test_an_error_is_known_by_its_class(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"status_code": 429}, "429"),
        ({"status": 503}, "503"),
        ({"response": SimpleNamespace(status_code=404)}, "404"),
        ({"response": SimpleNamespace(status=500)}, "500"),
        ({"response": None}, "OSError"),
        ({"status": 200}, "OSError"),
        ({"status": True}, "OSError"),
        ({"status": "429"}, "OSError"),
        ({"status_code": 600}, "OSError"),
    ],
)
def test_an_http_error_is_known_by_its_status(attributes: dict[str, object], kind: str) -> None:
    error = OSError("http")
    vars(error).update(attributes)
    assert kind_of(error) == kind


# -- the same failure from the first call on ------------------------------------------------------------------------


def http(status: int, url: str = "https://api.example.com/x") -> Exception:
    error = OSError(f"{status}")
    error.response = SimpleNamespace(status_code=status, url=url)  # type: ignore[attr-defined]
    return error


def verdicts(errors: list[BaseException | None]) -> list[str | None]:
    same = SameFailure()
    return [None if error is None else same.note(error, called) for called, error in enumerate(errors, 1)]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (http(401), "401 Unauthorized (api.example.com)"),
        (http(403), "403 Forbidden (api.example.com)"),
        (http(407), "407 Proxy Authentication Required (api.example.com)"),
        (TypeError("f() takes 0 positional arguments but 1 was given"), None),
        (NameError("name 'sesion' is not defined"), None),
        (AttributeError("no"), None),
        (ModuleNotFoundError("No module named 'requets'"), None),
        (NotImplementedError(), None),
    ],
)
def test_fifty_calls_that_fail_in_one_hopeless_way_are_enough(error: Exception, name: str | None) -> None:
    found = verdicts([error] * FIRST_CALLS)
    assert found[: SAME_AMONG_THEM - 1] == [None] * (SAME_AMONG_THEM - 1)
    assert found[SAME_AMONG_THEM - 1] == (name or f"{type(error).__name__}: {error}")


def test_ten_others_among_the_first_sixty_change_nothing_and_eleven_do() -> None:
    assert verdicts([None] * 10 + [http(401)] * 50)[-1] is not None
    assert verdicts([None] * 11 + [http(401)] * 50) == [None] * 61


@pytest.mark.parametrize("error", [http(404), http(429), http(500), ValueError("x"), KeyError("x"), TimeoutError()])
def test_failures_that_may_be_the_inputs_own_never_end_a_run(error: Exception) -> None:
    assert verdicts([error] * FIRST_CALLS) == [None] * FIRST_CALLS


def test_hosts_and_words_tell_failures_apart() -> None:
    hosts = [http(401, f"https://h{n % 2}.example.com/") for n in range(FIRST_CALLS)]
    assert verdicts([*hosts]) == [None] * FIRST_CALLS
    words = [TypeError(f"bad {n}") for n in range(FIRST_CALLS)]
    assert verdicts([*words]) == [None] * FIRST_CALLS


def test_only_those_of_one_name_are_counted() -> None:
    same = SameFailure()
    for called in range(1, 9):
        same.note(http(401 if called % 2 else 403), called)
    assert same.count("401 Unauthorized (api.example.com)") == 4


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("401 Unauthorized (h)", "mend the credential"),
        ("TypeError: x", "mend the function"),
    ],
)
def test_what_would_help(name: str, remedy: str) -> None:
    assert SameFailure().remedy(name) == remedy


def test_an_exception_without_text_is_never_the_same() -> None:
    class Mute(TypeError):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert verdicts([Mute()] * FIRST_CALLS) == [None] * FIRST_CALLS

"""Names follow one grammar, there and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.errors import BenchError
from ldmbench.names import Name, parse, unknown

WORD = st.from_regex(r"[A-Za-z0-9_.+-]{1,12}", fullmatch=True)
VALUE = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.from_regex(r"[A-Za-z/_][A-Za-z0-9/@:_.-]{0,12}", fullmatch=True).filter(
        lambda text: text not in ("true", "false") and not _is_number(text)
    ),
)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@given(name=WORD, variant=st.one_of(st.just(""), WORD), settings=st.dictionaries(WORD, VALUE, max_size=4))
def test_round_trip(name: str, variant: str, settings: dict[str, bool | int | float | str]) -> None:
    made = Name(name, variant, settings)
    back = parse(str(made))
    assert back == made
    assert {key: type(value) for key, value in back.settings.items()} == {k: type(v) for k, v in settings.items()}


@given(st.text(max_size=30))
def test_any_text_parses_to_a_fixed_point_or_is_refused_in_one_line(text: str) -> None:
    try:
        name = parse(text)
    except BenchError as error:
        found = str(error)
    else:
        assert parse(str(name)) == name
        return
    assert "\n" not in found


def test_parts_and_types() -> None:
    name = parse("semanticodec@1.40kbps:steps=10,cfg=3.5,ema=true,train=/data/a@b:c")
    assert (name.name, name.variant) == ("semanticodec", "1.40kbps")
    assert name.settings == {"steps": 10, "cfg": 3.5, "ema": True, "train": "/data/a@b:c"}


def test_settings_are_shown_sorted() -> None:
    assert str(parse("a:z=1,b=2")) == "a:b=2,z=1"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_finite_number_stays_text(value: str) -> None:
    assert parse(f"a:x={value}").settings == {"x": value}


@pytest.mark.parametrize("text", ["", "@v", "a@", "a@@b", "a b", "a:", ":x=1", "a@v@w", "a\n"])
def test_no_name(text: str) -> None:
    with pytest.raises(BenchError, match="is not a name"):
        parse(text)


@pytest.mark.parametrize("text", ["a:x", "a:x=", "a:=1", "a:x=1,y"])
def test_no_setting(text: str) -> None:
    with pytest.raises(BenchError, match=r"is not a setting.*write setting=value"):
        parse(text)


def test_a_setting_twice() -> None:
    with pytest.raises(BenchError, match="sets 'x' twice"):
        parse("a:x=1,x=2")


def test_unknown_names_the_nearest() -> None:
    error = unknown("system", "opsu", ["opus", "mp3", "amr-nb"])
    assert str(error) == "unknown system 'opsu' (fix: did you mean opus?)"


def test_unknown_lists_the_choices_where_nothing_is_near() -> None:
    assert unknown("metric", "zzz", ["b", "a"]).fix == "choose one of a, b"
    many = unknown("metric", "zzz", [f"m{index:02}" for index in range(20)]).fix
    assert many.startswith("choose one of m00, m01")
    assert many.endswith("m11, ...")
    assert unknown("metric", "zzz", []).fix == "there are none to choose from"

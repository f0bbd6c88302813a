"""Standard output holds answers alone, whoever prints meanwhile and however late it is written."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import ctypes, os, sys
from ldmbench.host.streams import no_noise
saved = sys.stdout
print("before")
with no_noise():
    print("noise of print")
    saved.write("noise of a stream that was kept\\n")
    ctypes.CDLL(None).printf(b"noise of C\\n")
    os.write(1, b"noise of the system\\n")
print("after")
"""


def test_noise_goes_to_the_error_stream_and_answers_do_not() -> None:
    # Into pipes, where Python and C hold back what they write.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    sources = ("print", "a stream that was kept", "C", "the system")
    assert sorted(done.stderr.splitlines()) == sorted(f"noise of {source}" for source in sources)

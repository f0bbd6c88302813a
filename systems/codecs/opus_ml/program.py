"""A program of the contract with programs: Opus packets of the system ``opus``, decoded by ``decode.mjs`` on Node.js.

    python program.py JOB.json OUTPUT NODE DECODE.mjs ENVIRONMENT

The packets, their bits and the delay that is made up for are those of ``opus`` with the same settings; only the decoder
is another, with the setting ``enhancement``.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.sound import read, write
from ldmbench.system.codec import Stream
from ldmbench.system.registry import resolve
from ldmbench.systems.codecs._packets import aligned
from ldmbench.systems.codecs.opus import Opus


def main(job_file: str, output: str, node: str, script: str, environment: str) -> None:
    """Encode every clip of a job, have all of them decoded in one process, and write what the contract asks for."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    settings = {key: value for key, value in job["settings"].items() if key not in ("enhancement", "timeout_s")}
    words = ",".join(f"{key}={value}" for key, value in settings.items())
    opus = Opus(resolve(f"opus:{words}"))
    work, folder = Path(job_file).parent, Path(output)
    streams: list[Stream | None] = []
    results: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for index, clip in enumerate(job["clips"]):
        try:
            stream = opus.encode(read(Path(clip["audio"])))
        except Exception as error:
            streams.append(None)
            results.append({"id": clip["id"], "error": str(error)})
            continue
        streams.append(stream)
        packets = [base64.b64encode(packet).decode("ascii") for packet in stream.payload.data]
        result = {"id": clip["id"], "audio": f"{index}.wav", "bits": stream.bits, "nominal_kbps": stream.nominal_kbps}
        results.append({**result, "details": dict(stream.details)})
        place = {"id": clip["id"], "output": str(work / f"{index}.f32"), "channels": stream.payload.channels}
        asked.append({**place, "packets": packets})
    request = work / "packets.json"
    request.write_text(json.dumps({"enhancement": job["settings"]["enhancement"], "clips": asked}), encoding="utf-8")
    subprocess.run([node, script, environment, str(request)], check=True)
    for index, sent in enumerate(streams):
        if sent is not None:
            coded = sent.payload
            samples = np.fromfile(work / f"{index}.f32", np.float32).reshape(coded.channels, -1)
            sound = aligned(samples, coded, opus.delay(coded), job["system"]).at(coded.source_rate)
            write(folder / f"{index}.wav", sound)
    (folder / "results.json").write_text(json.dumps({"schema": 1, "clips": results}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

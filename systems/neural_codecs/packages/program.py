"""A program of the contract with programs: a codec by its authors' package, in an environment that has no ldmbench.

    python program.py JOB.json OUTPUT

The setting ``package`` says which. Sounds are coded whole, tokens are packed into whole bytes, and each clip's noise,
if its decoder draws any, comes from the clip's seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray


class Coder(NamedTuple):
    """A codec ready for sounds.

    Attributes:
        encode: From a sound ``[1, 1, time]`` to tokens, one row for each layer, which may be shorter than others.
        decode: From these to the sound ``[time]``.
        size: Codes of each codebook.
        nominal_kbps: The bitrate that is claimed.
    """

    encode: Callable[[torch.Tensor], list[torch.Tensor]]
    decode: Callable[[list[torch.Tensor]], torch.Tensor]
    size: int
    nominal_kbps: float


def descript(job: dict[str, Any], settings: dict[str, Any]) -> Coder:
    """descript-audio-codec 1.0.0: ``encode`` and ``decode`` of the whole clip; ``compress`` is another codec."""
    import dac

    if job["untrained"]:
        rates = [2, 4, 8, 8] if job["rate"] == 44_100 else [2, 4, 5, 8]
        books = {16_000: 12, 24_000: 32, 44_100: 9}[job["rate"]]
        options = {"encoder_rates": rates, "decoder_rates": rates[::-1], "n_codebooks": books}
        model = dac.DAC(**options, sample_rate=job["rate"])
    else:
        content = torch.load(Path(job["weights"], settings["file"]), "cpu", weights_only=True)
        model = dac.DAC(**content["metadata"]["kwargs"])
        model.load_state_dict(content["state_dict"])
    model = model.to(job["device"]).eval()
    books = int(settings["codebooks"])

    def encode(sound: torch.Tensor) -> list[torch.Tensor]:
        codes: torch.Tensor = model.encode(model.preprocess(sound, job["rate"]), n_quantizers=books)[1]
        return list(codes[0])

    def decode(tokens: list[torch.Tensor]) -> torch.Tensor:
        wave: torch.Tensor = model.decode(model.quantizer.from_codes(torch.stack(tokens)[None])[0])[0, 0]
        return wave

    return Coder(encode, decode, model.codebook_size, job["rate"] / model.hop_length * books * 10 / 1000)


def snac(job: dict[str, Any], settings: dict[str, Any]) -> Coder:
    """Package snac 1.2.1: layers of unlike rates; its decoder adds noise."""
    from snac import SNAC

    if job["untrained"]:
        low = job["rate"] == 24_000
        rates = [2, 4, 8, 8] if low else [2, 3, 8, 8]
        options = {
            "encoder_rates": rates,
            "decoder_rates": rates[::-1],
            "vq_strides": [4, 2, 1] if low else [8, 4, 2, 1],
        }
        sizes = (48, 1024, None) if low else (64, 1536, 32)
        widths = dict(zip(("encoder_dim", "decoder_dim", "attn_window_size"), sizes, strict=True))
        model = SNAC(sampling_rate=job["rate"], **options, **widths)
    else:
        model = SNAC.from_config(Path(job["weights"], settings["folder"], "config.json"))
        path = Path(job["weights"], settings["folder"], "pytorch_model.bin")
        model.load_state_dict(torch.load(path, "cpu", weights_only=True))
    model = model.to(job["device"]).eval()

    def encode(sound: torch.Tensor) -> list[torch.Tensor]:
        return [row[0] for row in model.encode(sound)]

    def decode(tokens: list[torch.Tensor]) -> torch.Tensor:
        wave: torch.Tensor = model.decode([row[None] for row in tokens])[0, 0]
        return wave

    frames = job["rate"] / float(model.hop_length)
    bits = int(model.codebook_size - 1).bit_length()
    return Coder(encode, decode, model.codebook_size, sum(frames / stride for stride in model.vq_strides) * bits / 1000)


def speechtokenizer(job: dict[str, Any], settings: dict[str, Any]) -> Coder:
    """Package speechtokenizer 1.0.1; the first codebook is semantic."""
    from speechtokenizer import SpeechTokenizer

    if job["untrained"]:
        model = SpeechTokenizer(
            {
                "n_filters": 64, "strides": [8, 5, 4, 2], "dimension": 1024, "semantic_dimension": 768, "n_q": 8,
                "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1,
                "lstm_layers": 2, "activation": "ELU", "codebook_size": 1024, "sample_rate": 16_000,
            }
        )  # fmt: skip
        # At their start codebooks are zeros, and so would be all tokens.
        with torch.inference_mode():
            residual = model.encoder(0.1 * torch.randn(1, 1, 16_000))[0].T
            for layer in model.quantizer.vq.layers:
                book = layer._codebook
                book.inited.fill_(1)
                spread = residual.std(dim=0) * torch.randn(book.embed.shape)
                book.embed.copy_(residual.mean(dim=0) + spread)
                residual = residual - book.embed[torch.cdist(residual, book.embed).argmin(dim=1)]
    else:
        model = SpeechTokenizer(json.loads(Path(job["weights"], "config.json").read_text(encoding="utf-8")))
        model.load_state_dict(torch.load(Path(job["weights"], "SpeechTokenizer.pt"), "cpu", weights_only=True))
    model = model.to(job["device"]).eval()
    books = int(settings["codebooks"])

    def encode(sound: torch.Tensor) -> list[torch.Tensor]:
        return list(model.encode(sound, n_q=books)[:, 0])

    def decode(tokens: list[torch.Tensor]) -> torch.Tensor:
        wave: torch.Tensor = model.decode(torch.stack(tokens)[:, None])[0, 0]
        return wave

    return Coder(encode, decode, 1024, job["rate"] / int(model.downsample_rate) * books * 10 / 1000)


CODERS = {"descript-audio-codec": descript, "snac": snac, "speechtokenizer": speechtokenizer}


def table(tokens: list[torch.Tensor]) -> list[list[int]]:
    """Rows of equal length: -1 where a layer has no token in a frame of the finest one."""
    frames = max(len(row) for row in tokens)
    rows: list[list[int]] = []
    for row in tokens:
        wide: NDArray[np.int64] = np.full(frames, -1, np.int64)
        wide[:: frames // len(row)] = row.cpu().numpy()
        rows.append(wide.tolist())
    return rows


def main(job_file: str, output: str) -> None:
    """Code and decode every clip of a job, and write what the contract asks for."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    settings = job["settings"]
    torch.manual_seed(0)
    coder = CODERS[settings["package"]](job, settings)
    results: list[dict[str, Any]] = []
    with torch.inference_mode():
        for index, clip in enumerate(job["clips"]):
            samples, rate = soundfile.read(clip["audio"], dtype="float32")
            torch.manual_seed(clip["seed"])
            try:
                tokens = coder.encode(torch.from_numpy(samples)[None, None].to(job["device"]))
                wave = coder.decode(tokens).cpu().numpy()
            except Exception as error:
                results.append({"id": clip["id"], "error": f"{type(error).__name__}: {error}"})
                continue
            fitted = np.zeros(len(samples), np.float32)
            fitted[: len(wave)] = wave[: len(samples)]
            soundfile.write(Path(output, f"{index}.wav"), fitted, rate, subtype="FLOAT")
            bits = sum(len(row) for row in tokens) * (coder.size - 1).bit_length()
            facts = {"codebooks": [coder.size] * len(tokens), "nominal_kbps": coder.nominal_kbps}
            packed = {"bits": -(-bits // 8) * 8, "tokens": table(tokens)}
            results.append({"id": clip["id"], "audio": f"{index}.wav", **packed, **facts})
    Path(output, "results.json").write_text(json.dumps({"schema": 1, "clips": results}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Parts of latent diffusion systems: loaded from official folders with every key accounted for, or seeded at random."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.errors import BenchError
from bench.system import SystemSpec

T = TypeVar("T")

#: What weights may be held and computed in.
PRECISIONS = ("float32", "float16", "bfloat16")

#: Buffers that older libraries stored and current ones compute, and matrices that are tied to another one.
_STORED_BEFORE = ("position_ids", "token_type_ids", "relative_position_index", "attn_mask", "attn.bias", "masked_bias")
_TIED = ("lm_head.weight", "embed_tokens.weight", "shared.weight")

#: A tokenizer must know at least this part of the vocabulary its encoder was trained with.
_VOCABULARY = 0.99


def on_device(device: str) -> None:
    """Raise ``BenchError`` unless ``device`` is one that torch sees.

    Raises:
        BenchError: If a CUDA device is asked for and there is none.
    """
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BenchError(f"device {device!r} is not available", "torch sees no CUDA device", "use --device cpu")


def check_setting(spec: SystemSpec, key: str, fine: bool, wanted: str) -> None:
    """Raise ``BenchError`` unless the setting ``key`` is ``fine``; ``wanted`` says what it should be.

    Raises:
        BenchError: If it is not.
    """
    if not fine:
        raise BenchError(f"{key} of {spec.label} must be {wanted}", f"{spec.settings[key]!r}")


def check_sampling(spec: SystemSpec) -> None:
    """Check the settings that all diffusion systems have: ``cfg``, ``eta`` (where a sampler has it), ``precision``.

    Raises:
        BenchError: If one is out of range.
    """
    cfg, eta = float(spec.settings["cfg"]), float(spec.settings.get("eta", 0.0))
    check_setting(spec, "cfg", cfg >= 0 and math.isfinite(cfg), "0 or more")
    check_setting(spec, "eta", 0 <= eta <= 1, "0 to 1")
    check_setting(spec, "precision", spec.settings["precision"] in PRECISIONS, "one of " + ", ".join(PRECISIONS))


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from diffusers and transformers; what matters is checked and recorded here."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [library.get_verbosity() for library in libraries]
    bars = transformers_logging.is_progress_bar_enabled()
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, level in zip(libraries, before, strict=True):
            library.set_verbosity(level)
        if bars:
            for library in libraries:
                library.enable_progress_bar()


def model_index(folder: Path, pipeline: str) -> dict[str, Any]:
    """``model_index.json`` of a diffusers folder.

    Raises:
        BenchError: If there is none, or it belongs to another pipeline.
    """
    path = folder / "model_index.json"
    index = read_json(path, f"{folder} is not a folder of {pipeline}")
    if index.get("_class_name") != pipeline:
        raise BenchError(
            f"{folder} is not a folder of {pipeline}",
            f"its model_index.json says {index.get('_class_name', 'nothing')}",
            "name the folder with the official files",
        )
    return index


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object; ``what`` begins the error's line.

    Raises:
        BenchError: If the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(what, f"no {path.name} in {path.parent}", "fetch it again or correct --weights") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BenchError(what, f"{path}: {error}", "fetch it again") from None
    if not isinstance(content, dict):
        raise BenchError(what, f"{path} holds a {type(content).__name__}", "fetch it again")
    return content


def load_part(kind: Any, folder: Path, name: str) -> Any:
    """A model of class ``kind`` from ``folder/name`` (``config.json`` and safetensors or a tensors-only pickle).

    Raises:
        BenchError: If files are missing or damaged, or any key is missing, superfluous or of another shape.
    """
    place = folder / name
    read_json(place / "config.json", f"{folder} lacks {name}")
    try:
        model, report = kind.from_pretrained(
            place, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # these libraries raise whatever their readers do
        raise BenchError(f"{name} in {folder} cannot be loaded", _short(error), "fetch it again") from error
    missing = _not_ending(report["missing_keys"], (*_STORED_BEFORE, *_TIED))
    unexpected = _not_ending(report["unexpected_keys"], _STORED_BEFORE)
    mismatched = [str(item[0] if isinstance(item, tuple) else item) for item in report["mismatched_keys"]]
    check_keys(place, missing, unexpected, mismatched)
    return model


def load_scheduler(folder: Path) -> Any:
    """DDIM with the schedule in ``folder/scheduler``.

    Raises:
        BenchError: If it is missing.
    """
    from diffusers import DDIMScheduler

    config = read_json(folder / "scheduler" / "scheduler_config.json", f"{folder} lacks scheduler")
    return DDIMScheduler.from_config(config)


def fitted(make: Callable[[], T], state: Mapping[str, Any], path: Path) -> T:
    """The model that ``make`` builds, with the tensors of ``state``, read from ``path``, as its own.

    It is built without memory, so that nothing is drawn or copied that would be overwritten.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape, naming it.
    """
    import torch

    with torch.device("meta"):
        model: Any = make()
    own = model.state_dict()
    given = dict(state)
    # The embedding of T5 appears under either of its names, or both.
    tied = [key for key in own if key.endswith(_TIED)]
    if known := [key for key in tied if key in given]:
        given.update({key: given[known[0]] for key in tied if key not in given})
    usable = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    missing = _not_ending((key for key in own if key not in given), _STORED_BEFORE)
    unexpected = _not_ending((key for key in given if key not in own), _STORED_BEFORE)
    check_keys(path, missing, unexpected, sorted(key for key in own if key in given and key not in usable))
    model.load_state_dict(usable, strict=False, assign=True)
    if empty := [name for name, value in model.named_buffers() if value.is_meta]:
        raise BenchError(f"the weights in {path} do not fit", f"no values for {empty[0]}", "use the official files")
    return cast(T, model.eval())


def check_keys(path: Path, missing: list[str], unexpected: list[str], mismatched: list[str]) -> None:
    """Raise ``BenchError`` naming the first keys of each kind, unless there are none.

    Raises:
        BenchError: If there is a missing, superfluous or mismatched key.
    """
    faults = [
        f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for word, keys in (("missing", missing), ("superfluous", unexpected), ("of another shape", mismatched))
        if keys
    ]
    if faults:
        raise BenchError(f"the weights in {path} do not fit", "keys " + ", ".join(faults), "use the official files")


def read_tensors(path: Path, entry: str = "") -> dict[str, Any]:
    """The state dictionary in a pickle of tensors, or under its ``entry``; nothing in the file is executed.

    Raises:
        BenchError: If the file is missing, damaged, or holds more than tensors.
    """
    import torch

    try:
        # Files of torch 1.5 and older are no archives, and cannot be mapped into memory.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise BenchError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError, ...
        raise BenchError(f"{path} cannot be read as tensors", _short(error), "fetch it again") from error
    if entry:
        state = state.get(entry) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(hasattr(value, "shape") for value in state.values()):
        raise BenchError(f"{path} is not a state dictionary", type(state).__name__, "use the official file")
    return state


def load_tokenizer(kind: Any, folder: Path, name: str, vocabulary: int, positions: int) -> Any:
    """The tokenizer in ``folder/name``, for an encoder with ``vocabulary`` embeddings and ``positions`` tokens.

    Without its files a tokenizer of transformers 5 is built all the same, knowing five tokens: the size is checked.

    Raises:
        BenchError: If files are missing, or the tokenizer does not know the encoder's vocabulary.
    """
    place = folder / name
    complete = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
    if not any(all((place / file).is_file() for file in files) for files in complete):
        raise BenchError(
            f"{folder} lacks {name or 'a tokenizer'}",
            f"{place} holds none of {', '.join(' and '.join(files) for files in complete)}",
            "fetch it again or correct --weights",
        )
    try:
        tokenizer = kind.from_pretrained(place, local_files_only=True)
    except Exception as error:
        raise BenchError(f"{name} in {folder} cannot be loaded", _short(error), "fetch it again") from error
    if not _VOCABULARY * vocabulary <= len(tokenizer) <= vocabulary:
        raise BenchError(
            f"the tokenizer in {place} is not the encoder's",
            f"it knows {len(tokenizer)} tokens, the encoder {vocabulary}",
            "use the official files",
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def byte_tokenizer(positions: int = 512) -> Any:
    """A RoBERTa tokenizer of single bytes, for systems that are built without any files."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    symbols = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocab = {symbol: index for index, symbol in enumerate(symbols)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=positions)


def character_tokenizer(positions: int = 512) -> Any:
    """A T5 tokenizer of printable ASCII characters, for systems that are built without any files."""
    from transformers import T5Tokenizer

    characters = [chr(code) for code in range(33, 127)]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in characters)]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=positions)


def seeded(make: Callable[[], T]) -> T:
    """What ``make`` builds when torch's generator starts at 0; the generator is put back."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def untrained_vocoder(config: Mapping[str, Any]) -> Any:
    """A HiFi-GAN with seeded weights of unit gain: at its own initialisation the output is silence."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    def make() -> Any:
        model = SpeechT5HifiGan(SpeechT5HifiGanConfig(**config))
        for value in model.parameters():
            if value.ndim > 1:
                value.data.normal_(0.0, math.prod(value.shape[1:]) ** -0.5)
        return model

    return seeded(make)


def parameters(models: Iterable[Any]) -> int:
    """Number of learned values in the models, each counted once."""
    found = {id(value): value.numel() for model in models for value in model.parameters()}
    return sum(found.values())


def for_inference(model: Any, device: str, precision: str = "float32", blocks: bool = False) -> None:
    """Move ``model`` to ``device`` in ``precision``, as fast as it gets; it can learn and load nothing any more.

    On a CPU it gets memory of its own, so that a file that was mapped for it can be let go.

    Args:
        model: A module.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: One of ``PRECISIONS``.
        blocks: Convolve by blocks where that is possible (``systems/_block_convolution.py``): faster where there are
            many places, as in autoencoders and vocoders, and slower in a U-Net.
    """
    import torch

    from systems._block_convolution import by_blocks

    model.requires_grad_(False).eval().to(device)
    if blocks:
        by_blocks(model)
    if precision != "float32":
        model.to(getattr(torch, precision))
    # Two-dimensional convolutions are faster, on CPU and GPU, where the channels of one place lie together.
    model.to(memory_format=torch.channels_last)
    if torch.device(device).type == "cpu":
        for value in (*model.parameters(), *model.buffers()):
            value.data = value.data.clone()


def _not_ending(keys: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    return sorted(key for key in keys if not key.endswith(endings))


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"{text[:300]} ..."

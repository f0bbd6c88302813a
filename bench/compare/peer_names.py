"""What other evaluation tools call our metrics, and why their number is another one.

Source: wavlab-speech/versa c398480 and voidful/Codec-SUPERB cfccafc, read in code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PeerName:
    """One of a peer's columns.

    Attributes:
        theirs: Its key in their file.
        ours: Our metric that comes nearest.
        how: ``same`` definition (other numbers are rounding, or the reason below), ``near`` (one step differs),
            ``other`` (only the name is alike).
        why: What makes a number differ.
    """

    theirs: str
    ours: str
    how: Literal["same", "near", "other"]
    why: str


_PEAK = "divides each output by its peak first; DNSMOS and PLCMOS answer to level"
_RATE = "compares at the output's rate, with channels as they are; here mono mixes at the reference's rate"

VERSA: tuple[PeerName, ...] = (
    PeerName("stoi", "stoi", "same", "pystoi replaces flat bands by noise without a seed; cuts to the shorter sound"),
    PeerName("estoi", "estoi", "same", "pystoi replaces flat bands by noise without a seed; cuts to the shorter sound"),
    PeerName("si_snr", "si_sdr", "same", f"no mean removed, as here; {_RATE}"),
    PeerName("pesq", "pesq_wb", "near", "narrow band below 16 kHz, another resampler, and 0.0 where PESQ fails"),
    PeerName("visqol", "visqol_audio", "near", "Google's C++ library, another resampler; model=speech is another mode"),
    PeerName("dns_overall", "dnsmos_ovrl", "near", _PEAK),
    PeerName("dns_p808", "dnsmos_p808", "same", "divides each output by its peak first, which P.808's model undoes"),
    PeerName("plcmos", "plcmos", "near", _PEAK),
    PeerName("utmos", "utmos", "same", "a fork's checkpoint of the same name"),
    PeerName(
        "utmosv2", "utmosv2", "near", "hears all of a sound, and looks five times at one random cut, without a seed"
    ),
    PeerName("scoreq_nr", "scoreq_synthetic", "same", "the synthetic domain, its default; scoreq is the natural one"),
    PeerName("scoreq_ref", "scoreq_ref_synthetic", "same", "the synthetic domain, its default; lower is better"),
    PeerName("warpq", "warpq", "near", "8 kHz and 13 coefficients, without voice activity detection"),
    PeerName("mcd", "mcd_world", "other", "Harvest, a 70 Hz low cut, and energy; with dtw: true warped"),
    PeerName("f0rmse", "f0_rmse", "other", "all frames, 0 Hz where there is no voice; with dtw: true warped ones"),
    PeerName("spk_similarity", "speaker_similarity_ge2e", "other", "RawNet3 of ESPnet; another network"),
    PeerName("whisper_wer", "wer_whisper_large_v3", "other", "another normaliser of texts; its YAML sets the model"),
    PeerName("fad_overall", "fad_infinity_fadtk_vggish", "near", "extrapolated (use_inf) from draws without a seed"),
    PeerName("clap_score", "clap_score", "near", "one LAION-CLAP checkpoint; clips over 10 s are cropped by chance"),
)

CODEC_SUPERB: tuple[PeerName, ...] = (
    PeerName("mel", "mel_audiotools", "same", "at the clip's own rate; here at 44.1 kHz, or @16khz and others"),
    PeerName("stft", "stft_dac", "same", "at the clip's own rate; here at 44.1 kHz, or @16khz and others"),
    PeerName("pesq", "pesq_wb", "near", "wide band, computed twice; 1.0 where PESQ fails"),
    PeerName("pesq-wb", "pesq_wb", "near", "the same computation as its pesq; 1.0 where PESQ fails"),
    PeerName("stoi", "stoi", "near", "its own STOI, after PESQ resampled to 16 kHz in place; 0 to 1; 0.0 on errors"),
)  # fmt: skip

#: A value that stands for an error: it is no score.
ERRORS = {"pesq": 0.0}


def of_metric(names: tuple[PeerName, ...], metric: str) -> PeerName | None:
    """A peer's name for a metric, None where it has none."""
    return next((item for item in names if item.ours == metric), None)

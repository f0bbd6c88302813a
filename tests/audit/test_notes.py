"""What the notes to metrics say is what their audits measured, and the audits are those of today's metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldmbench.audit import records
from ldmbench.audit.changes import CHANGES
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._judge import NetworkJudge
from ldmbench.metrics._notes import NOTES
from tests.present import present

KEPT = {item.metric: item for item in records.read(Path(__file__).parents[2] / "docs" / "audit.json")}

#: Metric, change, and the steps that its note speaks of, from and to.
SAID = [
    *((name, "level -20 dB", 0.4, 0.8) for name in ("mel_dac", "mel_audiotools", "stft_dac", "lsd")),
    *((name, "zeros 1 s both", 0.2, 0.4) for name in ("mel_dac", "mel_audiotools", "stft_dac", "lsd")),
    ("mel_dac", "delay 1 ms", -0.25, -0.15),
    ("mel_dac", "gain -6 dB", -0.6, -0.5),
    ("lsd", "clipped -6 dB", 0.2, 0.5),
    ("lsd", "gain +6 dB", 0.05, 0.2),
    ("lsd", "another clip", -0.6, -0.4),
    ("lsd_audiosr", "rate 16 kHz both", 2.3, 2.7),
    ("lsd_audiosr", "another clip", -1.0, -0.7),
    ("lsd_ssr_eval", "rate 16 kHz both", 2.5, 3.0),
    ("lsd_ssr_eval", "zeros 1 s both", -1.2, -0.9),
    ("lsd_ssr_eval", "silence", -16, -14),
    ("si_sdr", "delay 1 sample", -0.4, -0.25),
    ("si_sdr", "delay 1 ms", -10, -8),
    ("snr", "gain -6 dB", -1.6, -1.2),
    ("snr", "delay 1 ms", -4, -3),
    ("stoi", "delay 10 ms", -5.2, -4.4),
    ("estoi", "delay 10 ms", -3.5, -3.0),
    *((name, "gain -6 dB", -0.01, 0.01) for name in ("stoi", "estoi", "pesq_wb", "pesq_nb")),
    *((name, "DC 0.01", -0.01, 0.01) for name in ("stoi", "estoi", "pesq_wb", "pesq_nb")),
    *((name, "delay 100 ms", -0.01, 0.01) for name in ("pesq_wb", "pesq_nb")),
    *((name, "delay 100 ms", -0.01, 0.01) for name in ("visqol_speech_lattice", "visqol_speech_exponential")),
    ("visqol_speech_lattice", "DC 0.01", 0.6, 0.9),
    ("visqol_speech_exponential", "DC 0.01", -0.8, -0.5),
    ("visqol_speech_exponential", "level -20 dB", -0.8, -0.5),
    ("mcd_world", "delay 10 ms", -1.8, -1.3),
    ("mcd_world", "zeros 1 s both", 0.4, 0.7),
    ("mcd_world_dtw", "zeros 1 s both", 0.4, 0.7),
    ("mcd_world_dtw", "delay 100 ms", -0.05, 0.05),
    ("f0_rmse", "delay 10 ms", -7, -5),
    ("f0_rmse", "delay 1 ms", 0.3, 0.8),
    ("vuv_error", "delay 10 ms", -1.2, -0.8),
    ("vuv_error", "zeros 1 s both", 0.25, 0.45),
    ("warpq", "DC 0.01", -0.45, -0.25),
    ("warpq", "delay 100 ms", -0.05, 0.05),
    ("plcmos", "noise", 4.0, 5.0),
    ("plcmos", "DC 0.01", 0.8, 1.2),
    ("plcmos", "reference", -1.2, -0.4),
    ("plcmos", "first 1 s", 3.0, 4.0),
    *((name, "level -20 dB", 0.9, 1.2) for name in ("mcd_world@48khz", "mcd_world_dtw@48khz")),
    *((name, "rate 16 kHz both", 4.2, 5.0) for name in ("mcd_world@48khz", "mcd_world_dtw@48khz")),
    ("dnsmos_ovrl", "level -20 dB", -60, -45),
    ("dnsmos_ovrl", "gain +6 dB", -16, -12),
    ("dnsmos_ovrl", "delay 1 sample", 4, 6),
    ("dnsmos_bak", "first half", -11, -9),
    ("dnsmos_bak", "gain +6 dB", -2.1, -1.8),
    ("dnsmos_bak", "delay 1 sample", 0.7, 0.95),
    ("dnsmos_p808", "DC 0.01", 4.5, 5.5),
    ("dnsmos_p808", "clipped -6 dB", -7, -6),
    ("dnsmos_p808", "first half", -15, -13),
    ("dnsmos_sig@personalised", "level -20 dB", -6.5, -5.5),
    ("distillmos", "delay 1 sample", 0.3, 0.4),
    ("distillmos", "polarity", -0.4, -0.3),
    *(("distillmos", change, 0.65, 0.85) for change in ("DC 0.01", "clipped -6 dB")),
    ("distillmos", "twice", 1.2, 1.6),
    ("distillmos", "first half", -2.2, -1.7),
    ("distillmos", "gain -6 dB", -0.01, 0.01),
    *(("speaker_similarity_ge2e", f"gain {sign}6 dB", -6, -4) for sign in "+-"),
    ("speaker_similarity_ge2e", "DC 0.01", -7, -6),
    ("speaker_similarity_ge2e", "level -20 dB", -0.4, -0.25),
    ("speaker_similarity_ge2e", "another clip", -60, -50),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "low", "high"), SAID)
def test_a_note_says_what_was_measured(name: str, change: str, low: float, high: float) -> None:
    assert low <= present(KEPT[name].answer(change).steps) <= high


def test_every_note_is_shown_and_has_an_audit_unless_weights_are_to_be_fetched() -> None:
    for name, text in NOTES.items():
        metric = load_metric(name)
        assert metric.facts.note == text
        if isinstance(metric, NetworkJudge) and name not in KEPT:
            continue
        assert KEPT[name].version == load_metric(name).facts.version
        assert KEPT[name].answer("again").unchanged


def test_audits_are_of_the_changes_there_are() -> None:
    for item in KEPT.values():
        assert [answer.change for answer in item.answers] == [change.name for change in CHANGES], item.metric
        assert not any(answer.failed for answer in item.answers), item.metric

"""What audits brought to light: a note to each metric, to read before its number is quoted.

A step is what the metric sees between Opus at 12 and at 24 kbit/s; the numbers are in ``docs/reference/audit.md``.
"""

from __future__ import annotations

from collections.abc import Mapping

_FLOOR = (
    "Its floor under the logarithm is absolute: quiet clips score better. 20 dB less of reference and output is "
    "worth about half a step, and silence behind both dilutes it. Normalise loudness, or compare equal sets only."
)

#: Base name of a metric -> what to know.
NOTES: Mapping[str, str] = {
    "mel_dac": _FLOOR + " 1 ms of delay costs a fifth of a step, 6 dB of gain half a step.",
    "mel_audiotools": _FLOOR,
    "stft_dac": _FLOOR,
    "lsd": _FLOOR
    + (
        " A clipped or louder output can score better, since both fill quiet high bands; another clip's output "
        "costs only half a step."
    ),
    "lsd_audiosr": (
        "What a rate or a codec leaves empty above its band decides most of it: the same output at 16 kHz, "
        "reference too, is 2.5 steps better. Quote the rate. Another clip's output costs less than a step."
    ),
    "lsd_ssr_eval": (
        "What a rate or a codec leaves empty above its band decides most of it: the same output at 16 kHz, "
        "reference too, is nearly 3 steps better. A second of silence behind both costs a step, silence as output "
        "15."
    ),
    "si_sdr": (
        "One sample of delay at 48 kHz costs a third of a step, 1 ms nine: for codecs that keep no waveform, or are "
        "not aligned, it says nothing of quality (--align removes a delay)."
    ),
    "snr": (
        "Gain counts: 6 dB quieter costs more than a step, as does any delay of 1 ms. A silent output has 0 dB, "
        "more than one that is turned upside down."
    ),
    "stoi": (
        "10 ms of delay costs nearly five steps, 1 ms hardly any. Gain, DC and silent parts of the reference do not "
        "count."
    ),
    "estoi": (
        "10 ms of delay costs three steps, 1 ms hardly any. Gain, DC and silent parts of the reference do not count."
    ),
    "pesq_wb": (
        "It aligns in time and level itself: delays to 100 ms, gain, DC and polarity do not count. What lies above "
        "8 kHz is not heard at all."
    ),
    "pesq_nb": (
        "It aligns in time and level itself: delays to 100 ms, gain, DC and polarity do not count. What lies above "
        "4 kHz is not heard at all."
    ),
    "visqol_speech_lattice": (
        "It aligns in time and level itself. An offset of 0.01 (DC) is worth three quarters of a step better, where "
        "the exponential mapping of the same features takes it for worse."
    ),
    "visqol_speech_exponential": (
        "It aligns in time and level itself, but 20 dB less of reference and output, or an offset of 0.01 (DC), "
        "cost more than half a step."
    ),
    "mcd_world": (
        "10 ms of delay cost a step and a half, a second of silence behind both is worth half a step. Gain and DC do "
        "not count; at 48 kHz 20 dB less of reference and output are worth a step, and the same output at 16 kHz, "
        "reference too, more than four. VERSA, ESPnet and pymcd count the energy too and take other envelopes: 13.3, "
        "9.7 and 1.4 dB where this has 11.4."
    ),
    "mcd_world_dtw": (
        "A second of silence behind both is worth half a step. Delay, gain and DC do not count; at 48 kHz 20 dB less "
        "of reference and output are worth a step, and the same output at 16 kHz, reference too, more than four."
    ),
    "f0_rmse": (
        "10 ms of delay cost more than five steps, 1 ms can be worth half a one: what is late is compared with "
        "another moment of the melody. Noise and silence have no value at all."
    ),
    "vuv_error": "10 ms of delay cost a step. A second of silence behind both is worth a third of one.",
    "warpq": "An offset of 0.01 (DC) costs a third of a step. Delay and gain do not count.",
    "dnsmos_ovrl": (
        "It hardly tells Opus at 12 from 24 kbit/s (0.006), and all else moves it more: a sample of delay 0.03, 6 dB "
        "more gain 0.09, 20 dB less level 0.33, the first half of a sound alone 0.46. Compare equal lengths and levels "
        "only, and no codecs by hundredths."
    ),
    "dnsmos_sig": (
        "It does not tell Opus at 12 from 24 kbit/s at all (less than 0.001). Compare equal lengths and levels only: "
        "@personalised loses 0.4 with 20 dB less level."
    ),
    "dnsmos_bak": (
        "A step between bitrates is small (0.04): the first half of a sound alone costs ten of them, 6 dB more gain "
        "two, a sample of delay is worth nearly one. Compare equal lengths and levels only."
    ),
    "dnsmos_p808": (
        "A step between bitrates is small (0.02): an offset of 0.01 (DC) is worth five of them, clipping at -6 dB "
        "costs six, the first half of a sound alone 14. Compare equal lengths only."
    ),
    "plcmos": (
        "It was made for concealed packet loss, and a step between bitrates is small beside what else moves it: white "
        "noise scores more than four steps better than the codec, an offset of 0.01 (DC) one, the reference itself "
        "worse. Compare equal lengths only: the first second alone is three steps better."
    ),
    "distillmos": (
        "A step between bitrates is small (0.07) beside what else moves it: a sample of delay or a change of polarity "
        "a third of a step, an offset of 0.01 (DC) or clipping at -6 dB three quarters better, the sound twice in a "
        "row 1.4 better, its first half alone two worse. Windows are scaled to their peak: gain does not count. "
        "Compare equal clips only."
    ),
    "speaker_similarity_ge2e": (
        "It hears power without a logarithm, so that level counts: 6 dB of gain cost more than four steps, an offset "
        "of 0.01 (DC) six, the same 20 dB in reference and output a third of one. Polarity and 10 ms of delay do not "
        "count; another clip costs 50. Bring outputs to the level of their references first."
    ),
    "utmosv2": (
        "Its network looks at random cuts of a sound, drawn here from a fixed seed and at the same shares of every "
        "sound; the package draws anew at each call. On random weights and 11 s of speech, 20 seeds moved one pass "
        "(@1pass) by 14 % of the value (standard deviation), three seeds the mean of five by 2 %; noise 10 dB below "
        "the speech moved that by 21 %."
    ),
    "speaker_similarity_wavlm": (
        "This is WavLM base+ with an x-vector head. The SIM of the VALL-E papers and of many after them is WavLM large "
        "with an ECAPA-TDNN head, another network: do not set the two side by side."
    ),
}

// Decodes Opus packets with LACE, NoLACE or neither; node decode.mjs ENVIRONMENT JOB.json, see program.py.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [environment, jobFile] = process.argv.slice(2);
const library = join(environment, "node_modules", "@wasm-audio-decoders", "opus-ml", "index.js");
const { OpusMLDecoder } = await import(pathToFileURL(library).href);

const job = JSON.parse(readFileSync(jobFile, "utf8"));
for (const clip of job.clips) {
  const coupled = clip.channels - 1;
  const decoder = new OpusMLDecoder({
    speechQualityEnhancement: job.enhancement,
    sampleRate: 48000,
    channels: clip.channels,
    streamCount: 1,
    coupledStreamCount: coupled,
    channelMappingTable: coupled ? [0, 1] : [0],
    // All samples are wanted: the delay is made up for where it is measured.
    preSkip: 0,
  });
  await decoder.ready;
  const packets = clip.packets.map((packet) => new Uint8Array(Buffer.from(packet, "base64")));
  const { channelData, samplesDecoded, errors } = decoder.decodeFrames(packets);
  if (errors.length) throw new Error(`${clip.id}: ${errors[0].message}`);
  if (channelData.length !== clip.channels) throw new Error(`${clip.id}: ${channelData.length} channels came back`);
  // Plain float32 samples, one channel after the other.
  const samples = new Float32Array(clip.channels * samplesDecoded);
  channelData.forEach((channel, index) => samples.set(channel.subarray(0, samplesDecoded), index * samplesDecoded));
  writeFileSync(clip.output, samples);
  decoder.free();
}

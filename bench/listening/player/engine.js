// Sounds of one page: decoded at their own rate, started together, and switched by short cross-fades.

const FADE = 0.006;
const LEAD = 0.06;

export class Engine {
  constructor(rate, gain) {
    this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    this.master = new GainNode(this.context, { gain });
    this.master.connect(this.context.destination);
    this.buffers = new Map();
    this.cache = new Map();
    this.clear();
  }

  clear() {
    this.stopNodes();
    this.buffers = new Map();
    this.heard = new Map();
    this.current = null;
    this.playing = false;
    this.offset = 0;
    this.loop = true;
    this.from = 0;
    this.to = 0;
    this.length = 0;
    this.onchange = () => {};
  }

  setGain(value) {
    const gain = this.master.gain;
    const now = this.context.currentTime;
    const before = gain.value;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(this.playing ? before : value, now);
    if (this.playing) gain.linearRampToValueAtTime(value, now + 0.03);
  }

  fetchOne(url) {
    if (!this.cache.has(url)) {
      const wanted = fetch(url).then(async (answer) => {
        if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
        return answer.arrayBuffer();
      });
      wanted.catch(() => this.cache.delete(url));
      this.cache.set(url, wanted);
    }
    return this.cache.get(url);
  }

  prefetch(urls) {
    for (const url of urls) this.fetchOne(url).catch(() => {});
  }

  // sounds: [[name, url], ...]; all of one length, as the pack promises.
  async load(sounds) {
    this.clear();
    const decoded = await Promise.all(sounds.map(async ([name, url]) => {
      const data = await this.fetchOne(url);
      return [name, await this.context.decodeAudioData(data.slice(0))];
    }));
    const wanted = new Set(sounds.map(([, url]) => url));
    for (const url of this.cache.keys()) if (wanted.has(url)) this.cache.delete(url);
    if (new Set(decoded.map(([, buffer]) => buffer.length)).size > 1) throw new Error("the sounds differ in length");
    this.buffers = new Map(decoded);
    this.length = decoded[0][1].duration;
    this.to = this.length;
    for (const [name] of decoded) this.heard.set(name, 0);
  }

  // Seconds into the sound, loops included.
  position() {
    if (!this.playing) return this.offset;
    const gone = Math.max(0, this.context.currentTime - this.began);
    if (!this.loop) return Math.min(this.began_at + gone, this.length);
    const span = this.to - this.from;
    const ahead = this.to - this.began_at;
    return gone < ahead ? this.began_at + gone : this.from + ((gone - ahead) % span);
  }

  select(name) {
    if (!this.buffers.has(name) || name === this.current) return;
    this.account();
    this.current = name;
    const now = this.context.currentTime;
    for (const [other, node] of this.nodes) {
      const gain = node.gain.gain;
      const before = gain.value;
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(before, now);
      gain.linearRampToValueAtTime(other === name ? 1 : 0, now + FADE);
    }
    this.onchange();
  }

  async play() {
    if (this.playing || !this.buffers.size) return;
    if (this.current === null) this.current = this.buffers.keys().next().value;
    this.playing = true;
    await this.context.resume();
    if (!this.playing) return;
    this.startNodes();
    this.onchange();
  }

  pause() {
    if (!this.playing) return;
    this.account();
    this.offset = this.position();
    if (this.offset >= this.length - 0.001) this.offset = this.loop ? this.from : 0;
    this.playing = false;
    this.stopNodes();
    this.onchange();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  // Play on from another second, or with another loop.
  seek(seconds) {
    this.offset = Math.min(Math.max(seconds, 0), Math.max(this.length - 0.01, 0));
    if (this.loop && (this.offset >= this.to || this.offset < this.from)) this.offset = this.from;
    this.restart();
  }

  setLoop(loop, from = this.from, to = this.to) {
    const here = this.position();
    this.loop = loop;
    this.from = from;
    this.to = to;
    this.seek(here);
  }

  restart() {
    if (this.playing) {
      this.account();
      this.stopNodes();
      this.startNodes();
    }
    this.onchange();
  }

  startNodes() {
    const context = this.context;
    this.began = context.currentTime + LEAD;
    this.began_at = this.offset;
    this.since = this.began;
    const many = this.buffers;
    for (const [name, buffer] of many) {
      const source = new AudioBufferSourceNode(context, { buffer, loop: this.loop, loopStart: this.from, loopEnd: this.to });
      const gain = new GainNode(context, { gain: name === this.current ? 1 : 0 });
      source.connect(gain).connect(this.master);
      source.start(this.began, this.offset);
      this.nodes.set(name, { source, gain });
    }
    const any = this.nodes.values().next().value.source;
    any.onended = () => {
      if (this.playing && this.nodes.size && this.nodes.values().next().value.source === any) {
        this.account();
        this.playing = false;
        this.offset = 0;
        this.stopNodes();
        this.onchange();
      }
    };
  }

  stopNodes() {
    for (const { source, gain } of this.nodes?.values() ?? []) {
      source.onended = null;
      try { source.stop(); } catch { /* it never began */ }
      source.disconnect();
      gain.disconnect();
    }
    this.nodes = new Map();
  }

  // Add the time since the last switch to what was heard of the present sound.
  account() {
    if (!this.playing || this.current === null || this.since === undefined) return;
    const now = this.context.currentTime;
    const end = this.loop ? now : Math.min(now, this.began + this.length - this.began_at);
    if (end > this.since) this.heard.set(this.current, this.heard.get(this.current) + end - this.since);
    this.since = Math.max(this.since, now);
  }

  heardMs(name) {
    return Math.round(1000 * (this.heard.get(name) ?? 0));
  }
}

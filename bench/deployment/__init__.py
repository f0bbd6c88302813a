"""What a system asks of a device that runs it: multiply-accumulates, algorithmic latency, streaming or not."""

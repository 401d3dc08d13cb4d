"""Generate text: filters, sampler, copy checks, output."""

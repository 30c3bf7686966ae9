"""One outside thing each: our words in, our errors out."""

"""From a batch of clips to logits: frozen backbone, side network, head."""

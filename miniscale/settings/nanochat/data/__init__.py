"""The committed corpus and tokenizer, and the script that rebuilds and checks them."""

"""What may be done on hosts: rules, and the pure function that judges by them."""

"""The whole system in two slots: the bootloader's state, and updates into the slot that does not run."""

"""What only root may do on the machine, asked by the page: a socket of systemd's starts a short-lived process.

`requests` is what may be asked, `asking` the page's side, `answering` root's side, and a module for each kind of deed.
"""

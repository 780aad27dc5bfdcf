"""`python -m image`: see image/build."""

from image.builder import main

main()

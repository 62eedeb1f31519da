"""`python -m noria.cli`."""

from noria.cli import main

if __name__ == "__main__":
    main()

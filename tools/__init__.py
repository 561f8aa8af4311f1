"""Set-up of a checkout and the checks behind `make lint`. Nothing here is part of the installed package."""

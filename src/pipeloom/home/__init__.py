"""The files that this user has run or opened: the list of them, and what is in each."""

"""The home screen: the files that this user has run or opened."""

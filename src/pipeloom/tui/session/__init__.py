"""What the app has besides screens: live feed, engine session, remote run and file monitor."""

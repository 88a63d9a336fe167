"""For people: pages, fragments and one live stream a page."""

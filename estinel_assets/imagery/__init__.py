"""The imagery product line: from a site and its scenes to images, views and a catalogue."""

"""AudioLDM, AudioLDM 2 and Tango: text to audio through diffusers."""

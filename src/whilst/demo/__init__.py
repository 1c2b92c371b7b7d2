"""The story on real data: an embedded PokéAPI, and twenty names one by one and together."""

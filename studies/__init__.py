"""Studies: notebooks, each with one question, and the scripts and results behind them."""

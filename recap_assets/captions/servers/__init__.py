"""Models behind a server that speaks OpenAI's chat completions: vLLM, SGLang and others."""

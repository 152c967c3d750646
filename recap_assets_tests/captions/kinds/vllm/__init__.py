"""Tests of captions by vLLM, with a module of the tests in vLLM's place."""

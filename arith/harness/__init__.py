"""A task for lm-evaluation-harness: `lm_eval --include_path FOLDER --tasks arith`, FOLDER being this one."""

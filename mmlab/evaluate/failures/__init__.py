"""Why queries fail: the step that lost the answer, the modality at fault, data that may be wrong."""

"""The reconciler: sends tasks their message again where it was lost."""

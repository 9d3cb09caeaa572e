"""Views: tables in, something to look at out. They never see a model."""

from workbench.views.static import View, findings, provenance, table

__all__ = ["View", "findings", "provenance", "table"]

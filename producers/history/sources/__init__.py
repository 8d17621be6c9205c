"""The venues that have a past to give: one file each, found by being here."""

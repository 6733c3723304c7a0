"""The appliances a panel controls, and the drivers of their hardware."""

"""Other receivers of alerts, each as its users write it, and ceilings that keep nothing."""

"""The ClusterMetricTemplates that come with Canarium, a file each; `canarium templates` prints."""

"""The live runtime: chains over the partitions of topics, hosted by Faust."""

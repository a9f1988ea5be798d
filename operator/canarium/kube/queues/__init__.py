"""What waits its turn: objects to work on, things to send, and when to try again."""

"""What runs inside Ansible, with its interpreter: never imported by Pilotage, and imports nothing of it."""

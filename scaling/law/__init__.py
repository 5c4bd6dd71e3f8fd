"""Laws: functional forms with their parameters and derivatives."""

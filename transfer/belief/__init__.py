"""What effects say of a change at the target; shared by policy, exam and audit."""

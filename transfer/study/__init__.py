"""One study: its loop, its schedule, its rounds, its exams."""

"""`whilst completion SHELL`: what a shell needs to complete commands, options and the names of files.

click asks the program itself for the words (`_WHILST_COMPLETE`); here is the text that has a shell do so.
"""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from .messages import OK

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_WHILST_COMPLETE"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("shell", type=click.Choice([*SHELLS]))
def command(shell: str) -> int:
    """Print a script that lets your shell complete whilst commands.

    \b
    eval "$(whilst completion bash)"          in ~/.bashrc
    eval "$(whilst completion zsh)"           in ~/.zshrc
    whilst completion fish > ~/.config/fish/completions/whilst.fish
    """
    from .main import group

    made = SHELLS[shell](group, {}, "whilst", VARIABLE)
    click.echo(made.source_template % made.source_vars())
    return OK

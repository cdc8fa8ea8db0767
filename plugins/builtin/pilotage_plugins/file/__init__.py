"""Files: the step types of the plugin `file`."""

from typing import Final

from pilotage_plugins.file.copy import FileCopy
from pilotage_plugins.file.directory import FileDirectory
from pilotage_plugins.file.remove import FileRemove
from pilotage_plugins.file.template import FileTemplate
from pilotage_plugins.file.write import FileWrite

FILE_STEP_TYPES: Final = (FileWrite, FileTemplate, FileCopy, FileDirectory, FileRemove)

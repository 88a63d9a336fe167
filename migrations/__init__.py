"""The database's shape, one change at a time; `stripe-sync migrate` runs what is missing."""

from pathlib import Path

from alembic.config import Config


def config_for(database_url: str) -> Config:
    """Alembic's configuration for one database: there is no ini file to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(year)d-%%(month).2d-%%(day).2d_%%(slug)s")
    config.attributes["database_url"] = database_url
    return config

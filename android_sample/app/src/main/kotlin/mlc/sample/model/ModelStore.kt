package mlc.sample.model

import mlc.updates.Outcome
import mlc.updates.Updates

/** Decides which model the app runs: the one that its channel brought, or the one inside the app. */
class ModelStore(
    private val bundled: ModelFiles,
    private val updates: Updates?,
    private val loader: ModelLoader,
    private val mark: PredictionMark,
) {
    /**
     * The downloaded model if it can be opened; else the one before it; else the one inside the app.
     *
     * A model that cannot, or whose first answer ended the app, is not taken again.
     */
    fun open(): LoadedModel {
        if (mark.isLeft) {
            updates?.fallBack()
            mark.remove()
        }
        repeat(DOWNLOADED) {
            val choice = updates?.active() ?: return loader.load(bundled)
            try {
                return loader.load(FolderFiles(updates.folder(choice)), mark)
            } catch (_: Exception) { // whatever is wrong with it: there is another one
                updates.fallBack()
            }
        }
        return loader.load(bundled)
    }

    /**
     * Asks the channel; a new model is taken only after all its golden cases passed here.
     *
     * Blocks as long as the download takes. Null where the app has no channel.
     *
     * @param conditions Those that hold now, such as `wifi`.
     */
    fun update(conditions: Set<String>): Outcome? =
        updates?.check(conditions) { folder, _ -> loader.load(FolderFiles(folder)).use { it.passes() } }

    private companion object {
        /** Models that a device keeps: the current and the previous one. */
        const val DOWNLOADED = 2
    }
}

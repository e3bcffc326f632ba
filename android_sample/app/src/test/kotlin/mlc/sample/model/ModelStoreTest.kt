package mlc.sample.model

import java.io.File
import mlc.bindings.ModelRuntime
import mlc.bindings.Tensor
import mlc.bindings.TfliteRuntime
import mlc.bindings.decodePng
import mlc.bindings.describe
import mlc.sample.HostRunner
import mlc.sample.bundleFolder
import mlc.sample.skewedLoader
import mlc.updates.Channel
import mlc.updates.Device
import mlc.updates.Outcome
import mlc.updates.Reason
import mlc.updates.Updates
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNotNull
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith

/** The real model, and a real channel where there is one: `mlc.channel` is its address, with version 2.0. */
@RunWith(HostRunner::class)
class ModelStoreTest {
    @get:Rule val device = TemporaryFolder()

    private val mark by lazy { PredictionMark(File(device.root, "predicting")) }
    private val loader = ModelLoader({ file, about -> TfliteRuntime(file, about) }, ::decodePng)
    private val bundled = FolderFiles(bundleFolder)
    private val about = describe(JSONObject(bundled.read("manifest.json").decodeToString()))

    @Test
    fun `the model inside the app passes its golden cases`() {
        ModelStore(bundled, null, loader, mark).open().use { model ->
            val cases = model.selfTest()
            assertTrue(cases.isNotEmpty())
            cases.forEach { assertEquals(it.name, "", it.reason) }
            assertTrue(model.passes())
        }
    }

    @Test
    fun `wrong kernels are found`() {
        ModelStore(bundled, null, skewedLoader, mark).open().use { model ->
            assertTrue(model.selfTest().none { it.passed })
            assertTrue(!model.passes())
        }
    }

    @Test
    fun `without a channel there is nothing to update`() {
        assertNull(ModelStore(bundled, null, loader, mark).update(emptySet()))
    }

    @Test
    fun `a newer model is taken after it passed here`() {
        val store = ModelStore(bundled, updates(), loader, mark)
        assertEquals(about.version, store.open().use { it.about.version })
        assertEquals(Outcome.Updated("2.0"), store.update(emptySet()))
        store.open().use {
            assertEquals("2.0", it.about.version)
            assertTrue(it.passes())
        }
        assertEquals(Outcome.Current("2.0"), store.update(emptySet()))
    }

    @Test
    fun `a newer model that fails here is not`() {
        val outcome = ModelStore(bundled, updates(), skewedLoader, mark).update(emptySet()) as Outcome.Failed
        assertEquals(Reason.SELF_TEST, outcome.reason)
        assertEquals(about.version, ModelStore(bundled, updates(), loader, mark).open().use { it.about.version })
    }

    @Test
    fun `a downloaded model that was damaged is left alone`() {
        val updates = updates()
        val store = ModelStore(bundled, updates, loader, mark)
        store.update(emptySet())
        val choice = checkNotNull(updates.active())
        File(updates.folder(choice), choice.model.artifact).writeBytes(ByteArray(100))
        assertEquals(about.version, store.open().use { it.about.version })
    }

    @Test
    fun `a downloaded model that cannot be opened is given up`() {
        val updates = updates()
        ModelStore(bundled, updates, loader, mark).update(emptySet())
        val choosy = ModelLoader({ file, about ->
            check(about.version != "2.0") { "no such op" }
            TfliteRuntime(file, about)
        }, ::decodePng)
        assertEquals(about.version, ModelStore(bundled, updates, choosy, mark).open().use { it.about.version })
        assertNull(updates.active())
    }

    @Test
    fun `only the first answer of a downloaded model is marked`() {
        val marks = mutableListOf<Boolean>()
        val watched = ModelLoader({ file, about ->
            val runtime = TfliteRuntime(file, about)
            object : ModelRuntime by runtime {
                override fun run(inputs: Map<String, Tensor>) = runtime.run(inputs).also { marks += mark.isLeft }
            }
        }, ::decodePng)
        val picture = decodePng(bundled.read("golden/1.png"))
        val updates = updates()
        val store = ModelStore(bundled, updates, watched, mark)
        store.open().use { it.answer(picture) }
        assertEquals("the model inside the app needs none", listOf(false), marks)
        store.update(emptySet())
        marks.clear()
        store.open().use { model -> repeat(2) { model.answer(picture) } }
        assertEquals(listOf(true, false), marks)
        assertTrue(!mark.isLeft)
    }

    @Test
    fun `a downloaded model whose first answer ended the app is given up`() {
        val updates = updates()
        ModelStore(bundled, updates, loader, mark).update(emptySet())
        File(device.root, "predicting").createNewFile() // what a crash leaves
        assertEquals(about.version, ModelStore(bundled, updates, loader, mark).open().use { it.about.version })
        assertNull(updates.active())
        assertTrue(!mark.isLeft)
    }

    private fun updates(): Updates {
        val url = System.getProperty("mlc.channel")
        assumeNotNull("There is no channel here.", url)
        val phone = Device("android", "tflite", app = "1.0", os = "35", user = "u", about.interfaceDigest)
        val channel = Channel(url, about.name, listOf(System.getProperty("mlc.channel.key")), about.version)
        return Updates(channel, phone, device.root)
    }
}
